//! Several replicas, each a process of its own, that share a real Redis: what they answer, and what becomes of their
//! callers when one of them, Redis, or the way to it fails.

mod answers;
mod candles;
mod failures;
mod node;
mod partitions;
mod postgres_trouble;
mod redis_trouble;
mod resume;
mod subscriber;
