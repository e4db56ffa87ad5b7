"""The seat of the neural face: `avatar.face.engines` looks for `ditto.engine.DittoFace` here.

Not part of this version. The seams that it will fulfil (`Face`, `Rig`, `Performance`), its tunables
(`sampling_timesteps`, `chunk_config`) and its flags (`--cfg_pkl`, `--data_root`) are in place, validated and carried.
"""
