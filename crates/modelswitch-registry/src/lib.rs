//! Configuration to providers: the registry of modelswitch.
