//! DeepSeek's models by exact id, never by a part of a name. Read on 2026-11-21 from
//! <https://api-docs.deepseek.com/quick_start/pricing> and <https://api-docs.deepseek.com/updates>.

/// A name that DeepSeek no longer takes, and what stands for it.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) name: &'static str,
    pub(crate) instead: &'static str,
    pub(crate) thinks: bool,
    pub(crate) off_since: &'static str,
}

const RETIRED: [Retired; 2] = [
    Retired { name: "deepseek-chat", instead: "deepseek-flash", thinks: false, off_since: "2026-07-24" },
    Retired { name: "deepseek-reasoner", instead: "deepseek-flash", thinks: true, off_since: "2026-07-24" },
];

pub(crate) fn retired(model: &str) -> Option<&'static Retired> {
    RETIRED.iter().find(|retired| retired.name == model)
}

/// Whether a model takes images; `None` for one that isn't known here.
pub(crate) fn sees(model: &str) -> Option<bool> {
    match model {
        // The old names are routed to deepseek-flash.
        "deepseek-flash" | "deepseek-v4-flash" | "deepseek-v4-flash-vision-exp" => Some(true),
        "deepseek-v4-pro" => Some(false),
        _ => None,
    }
}
