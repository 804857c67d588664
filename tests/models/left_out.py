"""Families of transformers that are not tried, and why: they read something else than texts, or do not continue them."""

HALVES = "it is one half of an encoder-decoder model"
PICTURES = "it reads pictures or sound besides text"
PAGES = "it reads where words stand on a page or in a table, besides the words"
PROTEINS = "it reads proteins"
LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(("bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp"), HALVES),
    **dict.fromkeys(("pegasus", "plbart", "prophetnet", "trocr", "whisper", "musicgen", "musicgen_melody", "moshi"), HALVES),
    **dict.fromkeys(("t5", "mt5", "umt5", "t5gemma", "t5gemma2", "led"), HALVES),
    **dict.fromkeys(("emu3", "fuyu", "git", "got_ocr2", "llama4", "mllama", "moss_transcribe_diarize", "phi4_multimodal"), PICTURES),
    **dict.fromkeys(("gemma4", "gemma4_unified", "modernvbert", "ultravbert", "qwen3_asr", "dots3_note", "mistral4"), PICTURES),
    "gemma3": f"{PICTURES}; text-only models of the family are of type gemma3_text",
    "gemma3n": f"{PICTURES}; text-only models of the family are of type gemma3n_text",
    "qwen3_5": f"{PICTURES}; text-only models of the family are of type qwen3_5_text",
    "qwen3_5_moe": f"{PICTURES}; text-only models of the family are of type qwen3_5_moe_text",
    "qwen4_exp": f"{PICTURES}; text-only models of the family are of type qwen4_exp_text",
    **dict.fromkeys(("gemma4_assistant", "gemma4_unified_assistant"), "it drafts tokens for another model"),
    **dict.fromkeys(("layoutlm", "layoutlmv2", "layoutlmv3", "lilt", "bros", "markuplm", "tapas"), PAGES),
    **dict.fromkeys(("esm", "esmc"), PROTEINS),
    **dict.fromkeys(("bert-generation", "xlnet", "xlm"), "each token sees those that follow it, and its head is of another task"),
    "blt": "it reads bytes in patches of its own, without a tokenizer",
    "canine": "it reads characters, without a tokenizer",
    "perceiver": "it reads bytes, without a tokenizer",
    "luke": "it reads entities besides text",
    "reformer": "it reads sequences of fixed lengths only",
    "openai_privacy_filter": "it is a finished classifier of its own labels",
}
