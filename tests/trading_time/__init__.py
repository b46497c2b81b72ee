"""margin_platform/trading_time: ages and due times on the exchange's calendar."""
