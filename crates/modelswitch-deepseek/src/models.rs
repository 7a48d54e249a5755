//! DeepSeek's models by exact id, never by a part of a name. Read on 2026-11-21 from
//! <https://api-docs.deepseek.com/quick_start/pricing> and <https://api-docs.deepseek.com/updates>.

/// Whether a model takes images; `None` for one that isn't known here.
pub(crate) fn sees(model: &str) -> Option<bool> {
    match model {
        // The old names are routed to deepseek-flash.
        "deepseek-flash" | "deepseek-v4-flash" | "deepseek-v4-flash-vision-exp" => Some(true),
        "deepseek-v4-pro" => Some(false),
        _ => None,
    }
}
