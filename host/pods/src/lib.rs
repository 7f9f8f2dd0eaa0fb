//! The life of pods and containers, whoever asks.
