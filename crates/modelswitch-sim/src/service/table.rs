//! How each service deviates. What stands here is published by the service or was seen in recorded traffic in 2026; where a
//! habit is only assumed, the line says so.

use super::{Auth, Calls, Envelope, History, Models, Reasoning, Service, Stream, ToolChoice, UsageAt};

/// The service of this name.
pub(crate) fn named(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

/// All names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|service| service.name)
}

const STREAM: Stream = Stream {
    comment: "",
    opens_empty: false,
    repeats_role: false,
    omits_null_finish: false,
    ends_whole: false,
};

/// What a line of the table leaves out.
pub(super) const PLAIN: Service = Service {
    name: "openai-compatible",
    prefix: "/v1",
    auth: Auth::Bearer,
    query: None,
    deployments: false,
    models: Models::List,
    embeds: true,
    calls: Calls::Pieces,
    reasoning: Reasoning::Field("reasoning_content"),
    history: History::Free,
    chats: true,
    refuses: &[],
    refuses_thinking: &[],
    efforts: &[],
    one_choice: false,
    tool_choice: ToolChoice::Kept,
    absent: &[],
    extra: "{}",
    usage: UsageAt::OwnChunk,
    finish: &[],
    stream: STREAM,
    envelope: Envelope::OpenAi,
    no_money: "insufficient_quota",
    request_id: "x-request-id",
};

const AZURE: Service = Service {
    name: "azure",
    prefix: "/openai/v1",
    auth: Auth::Header("api-key"),
    reasoning: Reasoning::Absent,
    extra: r#"{"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#,
    stream: Stream { opens_empty: true, ..STREAM }, // assumed
    request_id: "apim-request-id",
    ..PLAIN
};

const MOONSHOT: Service = Service {
    name: "moonshot",
    history: History::Needed,
    efforts: &["low", "high", "max"],
    usage: UsageAt::LastChoice,
    ..PLAIN
};

const DASHSCOPE: Service = Service {
    name: "dashscope",
    prefix: "/compatible-mode/v1",
    refuses: &["logit_bias"],
    no_money: "Arrearage",
    ..PLAIN
};

const ZHIPU: Service = Service {
    name: "zhipu",
    prefix: "/api/paas/v4",
    calls: Calls::Whole,
    refuses: &["max_completion_tokens"],
    finish: &[("content_filter", "sensitive")],
    usage: UsageAt::LastChoice,
    stream: Stream { repeats_role: true, omits_null_finish: true, ..STREAM },
    envelope: Envelope::CodeText,
    ..PLAIN
};

const SILICONFLOW: Service = Service {
    name: "siliconflow",
    envelope: Envelope::Data,
    usage: UsageAt::Cumulative, // assumed
    request_id: "x-siliconcloud-trace-id",
    ..PLAIN
};

const SERVICES: &[Service] = &[
    PLAIN,
    AZURE,
    Service {
        name: "azure-deployments",
        prefix: "/openai",
        query: Some("api-version"),
        deployments: true,
        models: Models::Absent,
        embeds: false,
        ..AZURE
    },
    Service {
        name: "openrouter",
        prefix: "/api/v1",
        reasoning: Reasoning::Details,
        extra: r#"{"provider":"Simulated"}"#,
        usage: UsageAt::LastChoice,
        stream: Stream { comment: "OPENROUTER PROCESSING", repeats_role: true, ..STREAM },
        envelope: Envelope::Numbered,
        ..PLAIN
    },
    Service {
        name: "groq",
        prefix: "/openai/v1",
        reasoning: Reasoning::Field("reasoning"),
        calls: Calls::Whole,
        embeds: false,
        refuses: &["logprobs", "logit_bias", "top_logprobs", "messages[].name"],
        one_choice: true,
        usage: UsageAt::Groq,
        ..PLAIN
    },
    Service {
        name: "mistral",
        reasoning: Reasoning::Parts,
        calls: Calls::Whole,
        refuses: &["max_completion_tokens", "seed", "logprobs", "logit_bias", "user"],
        extra: r#"{"p":"abcdefghijklmnopqrstuvwxyz"}"#,
        finish: &[("length", "model_length")],
        usage: UsageAt::LastChoice,
        envelope: Envelope::Flat,
        request_id: "mistral-correlation-id",
        ..PLAIN
    },
    Service {
        name: "together",
        models: Models::Bare, // assumed
        reasoning: Reasoning::Field("reasoning"),
        extra: r#"{"prompt":[]}"#,
        finish: &[("stop", "eos")],
        usage: UsageAt::AlwaysOwnChunk,
        envelope: Envelope::PlainKeyRefusal,
        ..PLAIN
    },
    Service { name: "fireworks", prefix: "/inference/v1", usage: UsageAt::LastChoice, ..PLAIN },
    Service {
        name: "xai",
        refuses_thinking: &["stop", "presence_penalty", "frequency_penalty"],
        usage: UsageAt::AlwaysOwnChunk,
        envelope: Envelope::Coded,
        embeds: false,
        ..PLAIN
    },
    MOONSHOT,
    Service { name: "moonshot-cn", ..MOONSHOT },
    DASHSCOPE,
    Service { name: "dashscope-cn", ..DASHSCOPE },
    ZHIPU,
    Service { name: "zai", ..ZHIPU },
    SILICONFLOW,
    Service { name: "siliconflow-cn", ..SILICONFLOW },
    Service {
        name: "minimax",
        reasoning: Reasoning::Tags,
        embeds: false,
        usage: UsageAt::LastChoice,                    // assumed
        stream: Stream { ends_whole: true, ..STREAM }, // as users of other clients reported in 2026
        envelope: Envelope::BaseResp,
        extra: r#"{"base_resp":{"status_code":0,"status_msg":""}}"#,
        ..PLAIN
    },
    Service {
        name: "perplexity",
        chats: false,
        reasoning: Reasoning::Absent,
        envelope: Envelope::Numbered,
        ..PLAIN
    },
    Service {
        name: "cerebras",
        reasoning: Reasoning::Field("reasoning"),
        history: History::Refuses("reasoning_content"),
        refuses: &["logit_bias", "frequency_penalty", "presence_penalty"],
        embeds: false,
        usage: UsageAt::LastChoice,
        envelope: Envelope::Flat,
        ..PLAIN
    },
    Service { name: "nvidia", envelope: Envelope::Detail, request_id: "nvcf-reqid", ..PLAIN },
    Service {
        name: "gemini",
        prefix: "/v1beta/openai",
        models: Models::Prefixed("models/"), // assumed
        calls: Calls::Unnumbered,
        reasoning: Reasoning::Absent,
        absent: &["id"], // assumed
        usage: UsageAt::LastChoice,
        envelope: Envelope::GoogleList, // assumed
        ..PLAIN
    },
    Service {
        name: "anthropic",
        auth: Auth::Header("x-api-key"),
        reasoning: Reasoning::Absent,
        one_choice: true,
        embeds: false,
        models: Models::Undated,
        envelope: Envelope::Anthropic,
        request_id: "request-id",
        ..PLAIN
    },
    Service {
        name: "huggingface",
        reasoning: Reasoning::Field("reasoning"),
        embeds: false,
        envelope: Envelope::Sentence,
        ..PLAIN
    },
    Service { name: "volcengine", prefix: "/api/v3", models: Models::Absent, ..PLAIN }, // nothing is known of a list
    Service {
        name: "ollama",
        auth: Auth::Optional,
        reasoning: Reasoning::Field("reasoning"),
        calls: Calls::Whole,
        tool_choice: ToolChoice::Ignored,
        ..PLAIN
    },
    Service {
        name: "lmstudio",
        auth: Auth::Optional,
        reasoning: Reasoning::Tags,
        models: Models::Undated,
        envelope: Envelope::Sentence,
        ..PLAIN
    },
    Service {
        name: "vllm",
        auth: Auth::Optional,
        reasoning: Reasoning::Field("reasoning"),
        envelope: Envelope::Flat,
        ..PLAIN
    },
    Service {
        name: "llamacpp",
        auth: Auth::Optional,
        tool_choice: ToolChoice::Unnamed,
        extra: r#"{"timings":{"predicted_n":1}}"#,
        usage: UsageAt::LastChoice,
        envelope: Envelope::Numbered,
        ..PLAIN
    },
    Service {
        name: "litellm",
        reasoning: Reasoning::Field("reasoning_content"),
        envelope: Envelope::Numbered,
        ..PLAIN
    },
];
