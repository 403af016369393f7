"""Operations on frames: colour, cuts, optical flow, warping."""
