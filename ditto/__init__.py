"""The neural face: a photograph or a short video and a voice become a talking head. See docs/ditto.md.

Nothing heavy is imported here: `ditto.load.engine` reads a published checkpoint, `Engine.rig` registers an avatar,
`Engine.perform` opens a session.
"""
