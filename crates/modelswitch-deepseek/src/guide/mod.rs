//! Pages to read: how an app of 2025 comes to today's DeepSeek, and how reasoning gets back to it.

pub mod coming_from_deepseek_chat;
pub mod reasoning;
