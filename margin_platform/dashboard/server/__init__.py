"""The dashboard's HTTP and WebSocket server."""
