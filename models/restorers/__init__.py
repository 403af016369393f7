"""Networks that restore pictures, beside an image model."""
