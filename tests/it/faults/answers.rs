//! REST on loopback that answers as a test wants, in the place of a venue's own.

use std::sync::{Arc, Mutex};

use axum::{Router, http::Uri};
use tokio::{net::TcpListener, task::JoinHandle};

/// Running REST. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Answers {
    /// Answers each question, by its path and query.
    pub(super) async fn open(answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        let router = Router::new().fallback(async move |uri: Uri| {
            let target = uri.to_string();
            let body = answer(&target);
            heard.lock().unwrap().push(target);
            body
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, server }
    }

    /// Lists the questions whose path or query contains something.
    pub(super) fn asked(&self, what: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|target| target.contains(what)).cloned().collect()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Finds a parameter of a query.
pub(super) fn parameter<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
