//! What survives: kill -9 at every durable transition.
