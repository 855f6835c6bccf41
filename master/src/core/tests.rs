//! What the master decides, told event by event.
