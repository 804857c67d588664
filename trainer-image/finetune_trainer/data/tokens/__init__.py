"""Rows to token ids: chat templates, masks, encoders, the Arrow files that training reads."""
