//! The program modelswitch.
