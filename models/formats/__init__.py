"""Files of tensors: reading, key tables, recognising, strict loading."""
