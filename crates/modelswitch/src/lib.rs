//! An app written against the OpenAI API reaches any OpenAI-compatible provider by configuration.
