"""Many requests computed together by one thread, whatever computes them.

batcher.py          the thread, the queue and the end, which both batchers share
slot_batcher.py     generates for rows of different length in the slots of one key-value memory
encoder_batcher.py  dynamic batches of inputs of similar length
"""
