"""margin_platform/notification: notices and the channels that carry them."""
