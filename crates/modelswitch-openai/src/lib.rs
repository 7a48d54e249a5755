//! Any OpenAI-compatible service as a modelswitch provider, and the door for apps on async-openai.
