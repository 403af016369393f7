"""AnimateDiff: motion modules, LoRAs, SparseCtrl."""
