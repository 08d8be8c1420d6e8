"""The process that runs actors: from the mailbox to the durable answer."""
