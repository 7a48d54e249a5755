//! The DeepSeek adapter of modelswitch.
