"""What `margin status` shows of a running stack: its components, their memory, the topics and the streams."""
