use std::vec;

use futures::{Stream, StreamExt as _, stream};
use prost::Message;
use tonic::Status;

/// How much one message of a stream holds, bytes: far below what the kubelet takes, 16 MiB.
const LONGEST: usize = 1 << 20;

/// Streams a list: every item once and in order, as many a message as fit well, and then the end.
pub(crate) fn parts<T, M>(
    items: Vec<T>,
    message: impl Fn(Vec<T>) -> M + Send + 'static,
) -> impl Stream<Item = Result<M, Status>> + Send + 'static
where
    T: Message + Send + 'static,
    M: Send + 'static,
{
    stream::iter(Parts { items: items.into_iter().peekable() }).map(move |part| Ok(message(part)))
}

struct Parts<T> {
    items: std::iter::Peekable<vec::IntoIter<T>>,
}

impl<T: Message> Iterator for Parts<T> {
    type Item = Vec<T>;

    fn next(&mut self) -> Option<Vec<T>> {
        let first = self.items.next()?;
        let mut bytes = first.encoded_len();
        let mut part = vec![first];
        while let Some(item) = self.items.next_if(|item| bytes.saturating_add(item.encoded_len()) <= LONGEST) {
            bytes += item.encoded_len();
            part.push(item);
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_api::cri::{Container, StreamContainersResponse};

    #[tokio::test]
    async fn every_item_comes_once_however_large() {
        let container = |index: usize, size: usize| Container {
            id: index.to_string(),
            image_ref: "x".repeat(size),
            ..Container::default()
        };
        let mut items: Vec<_> = (0..5000).map(|index| container(index, 500)).collect();
        items[7].image_ref = "x".repeat(3 * LONGEST);
        let sent: Vec<_> = parts(items.clone(), |containers| StreamContainersResponse { containers }).collect().await;
        let messages: Vec<_> = sent.into_iter().map(Result::unwrap).collect();
        assert!(messages.len() > 3 && messages.iter().all(|message| !message.containers.is_empty()));
        let large = messages.iter().filter(|message| message.encoded_len() > LONGEST + (1 << 16));
        assert!(large.into_iter().all(|message| message.containers.len() == 1));
        let all: Vec<_> = messages.into_iter().flat_map(|message| message.containers).collect();
        assert_eq!(all, items);
        let none: Vec<_> = parts(Vec::new(), |containers| StreamContainersResponse { containers }).collect().await;
        assert!(none.is_empty());
    }
}
