//! Policies around any modelswitch provider, one behaviour a file.
