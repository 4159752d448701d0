"""Small apps of other products, each as its documentation says, served as ours is."""
