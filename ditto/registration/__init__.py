"""A photograph or a short video becomes a `Source`: the face found, cropped and measured."""
