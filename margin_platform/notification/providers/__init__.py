"""The services that carry a notice: SNS for texts, SendGrid or an SMTP server for mail."""
