"""Where a release runs: each target behind `interface.Target`; `mainline.deploying` finds them."""
