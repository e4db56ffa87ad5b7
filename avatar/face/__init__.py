"""Faces behind one seam, the portraits they wear, and the stage where voice and face become slices."""
