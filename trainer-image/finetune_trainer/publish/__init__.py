"""The publish stage: measures, writes the artifacts, and describes them in the model directory.

main.py         the stage from beginning to end
draft.py        the model directory while it is being written
exports.py      writes the artifacts; an optional one that fails is listed as missing
checkpoints.py  the same for the kept checkpoints, if the job asks for it
space.py        whether the model volume is large enough
describe.py     what is said of the artifacts that were written
manifest.py     MANIFEST.json
card.py         README.md, the model card
calls.py        the card's examples: how the model is called and loaded
"""
