"""What turns token ids into token ids. `interface` is all that the HTTP side may import from here."""
