"""Families of transformers that are not tried, and why: they read something else than texts, or do not continue them."""

HALVES = "it is part of an encoder-decoder model"
PICTURES = "it takes images or audio in addition to text"
PAGES = "it takes the layout of a page or table in addition to text"
PROTEINS = "it is a protein model"
LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(("bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp"), HALVES),
    **dict.fromkeys(("pegasus", "plbart", "prophetnet", "trocr", "whisper", "musicgen", "musicgen_melody", "moshi"), HALVES),
    **dict.fromkeys(("t5", "mt5", "umt5", "t5gemma", "t5gemma2", "led"), HALVES),
    **dict.fromkeys(("emu3", "fuyu", "git", "got_ocr2", "llama4", "mllama", "moss_transcribe_diarize", "phi4_multimodal"), PICTURES),
    **dict.fromkeys(("gemma4", "gemma4_unified", "modernvbert", "ultravbert", "qwen3_asr", "dots3_note", "mistral4"), PICTURES),
    "gemma3": f"{PICTURES}; the text-only model type is gemma3_text",
    "gemma3n": f"{PICTURES}; the text-only model type is gemma3n_text",
    "qwen3_5": f"{PICTURES}; the text-only model type is qwen3_5_text",
    "qwen3_5_moe": f"{PICTURES}; the text-only model type is qwen3_5_moe_text",
    "qwen4_exp": f"{PICTURES}; the text-only model type is qwen4_exp_text",
    **dict.fromkeys(("gemma4_assistant", "gemma4_unified_assistant"), "it is a draft model for speculative decoding"),
    **dict.fromkeys(("layoutlm", "layoutlmv2", "layoutlmv3", "lilt", "bros", "markuplm", "tapas"), PAGES),
    **dict.fromkeys(("esm", "esmc"), PROTEINS),
    **dict.fromkeys(("bert-generation", "xlnet", "xlm"), "its attention is bidirectional, and its head is for another task"),
    "blt": "it works on byte patches, without a tokenizer",
    "canine": "it works on characters, without a tokenizer",
    "perceiver": "it works on bytes, without a tokenizer",
    "luke": "it takes entities in addition to text",
    "reformer": "it supports only fixed sequence lengths",
    "openai_privacy_filter": "it is a classifier with fixed labels",
}
