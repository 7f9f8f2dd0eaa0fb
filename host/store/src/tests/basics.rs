use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, mpsc},
    thread,
};

use wharf_error::{Error, Kind, Result};

use super::{Folder, Images, Intents, Pods, row};
use crate::{Store, key, prefix};

#[test]
fn rows_come_back_from_both_files_after_reopening() {
    let folder = Folder::new();
    let store = folder.open();
    store.write_durable(|w| w.put::<Images>(&key("k8s.io", "docker.io/library/busybox:1"), &row("image"))).unwrap();
    store.write_crash(|w| w.put::<Pods>(&key("k8s.io", "pod"), &row("pod"))).unwrap();
    let (id, boot) = (store.id().to_owned(), store.boot().to_owned());
    drop(store);

    let store = folder.open();
    assert_eq!((store.id(), store.boot()), (id.as_str(), boot.as_str()));
    assert_eq!(boot, crate::boot_id().unwrap());
    let image = store.read(|r| r.get::<Images>(&key("k8s.io", "docker.io/library/busybox:1"))).unwrap();
    assert_eq!(image, Some(row("image")));
    assert_eq!(store.read(|r| r.get::<Pods>(&key("k8s.io", "pod"))).unwrap(), Some(row("pod")));
    assert_eq!(store.read(|r| r.get::<Pods>(&key("default", "pod"))).unwrap(), None);
    for file in [folder.meta(), folder.state()] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_list_is_one_namespaces_rows_in_order() {
    let folder = Folder::new();
    let store = folder.open();
    let write = |w: &mut crate::Writer<'_>| {
        for (namespace, name) in [("k8s.io", "b"), ("k8s.io", "a/1"), ("k8s", "c"), ("k8s.iox", "d")] {
            w.put::<Intents>(&key(namespace, name), &row(name))?;
        }
        Ok(())
    };
    store.write_crash(write).unwrap();
    let names = |prefix: &str| -> Vec<String> {
        let rows = store.read(|r| r.list::<Intents>(prefix)).unwrap();
        rows.into_iter().map(|(_, row)| row.text).collect()
    };
    assert_eq!(names(&prefix("k8s.io")), ["a/1", "b"]);
    assert_eq!(names(&prefix("k8s")), ["c"]);
    assert_eq!(names(""), ["a/1", "b", "d", "c"], "by key: a dot is before a slash");
    assert!(names("zzz").is_empty());
}

#[test]
fn a_writer_sees_itself_and_a_failing_one_leaves_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    store.write_durable(|w| w.put::<Images>("a/old", &row("old"))).unwrap();
    let seen = store.write_durable(|w| {
        w.put::<Images>("a/new", &row("new"))?;
        assert!(w.delete::<Images>("a/old")?);
        assert!(!w.delete::<Images>("a/old")?, "deleted already");
        assert_eq!(w.get::<Images>("a/old")?, None);
        let exists = w.insert::<Images>("a/new", &row("again")).unwrap_err();
        assert_eq!(exists.kind(), Kind::AlreadyExists);
        Ok(w.list::<Images>("a/")?.into_iter().map(|(key, _)| key).collect::<Vec<_>>())
    });
    assert_eq!(seen.unwrap(), ["a/new"]);

    let failed: Result<()> = store.write_durable(|w| {
        w.delete::<Images>("a/new")?;
        Err(Error::invalid("changed my mind"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "changed my mind");
    let failed: Result<()> = store.write_durable(|w| {
        w.delete::<Images>("a/new")?;
        panic!("on purpose")
    });
    assert!(failed.unwrap_err().to_string().contains("on purpose"));
    assert_eq!(store.read(|r| r.list::<Images>("")).unwrap().len(), 1);
}

#[test]
fn a_table_is_only_written_with_its_own_lifetime() {
    let folder = Folder::new();
    let store = folder.open();
    let wrong = store.write_durable(|w| w.put::<Pods>("a/b", &row("x"))).unwrap_err();
    assert!(wrong.to_string().contains("table pods is Crash"), "{wrong}");
    let wrong = store.write_crash(|w| w.put::<Images>("a/b", &row("x"))).unwrap_err();
    assert!(wrong.to_string().contains("table images is Durable"), "{wrong}");
    let wrong = store.write_crash(|w| w.reserve_ids("layers", 1)).unwrap_err();
    assert_eq!(wrong.kind(), Kind::Internal);
}

#[test]
fn a_write_inside_a_write_is_an_error_and_no_deadlock() {
    let folder = Folder::new();
    let store = folder.open();
    let inner = store.clone();
    let nested = store.write_durable(move |_| inner.write_durable(|w| w.put::<Images>("a/b", &row("x"))));
    assert!(nested.unwrap_err().to_string().contains("a write inside a write"));
    let nested = store.write_crash(|_| store.write_crash(|w| w.put::<Pods>("a/b", &row("x"))));
    assert!(nested.unwrap_err().to_string().contains("a write inside a write"));
}

#[test]
fn ids_go_on_after_reopening() {
    let folder = Folder::new();
    let store = folder.open();
    assert_eq!(store.write_durable(|w| w.reserve_ids("layers", 3)).unwrap(), 1..4);
    assert_eq!(store.write_durable(|w| w.reserve_ids("others", 1)).unwrap(), 1..2);
    let twice = store.write_durable(|w| Ok((w.reserve_ids("layers", 1)?, w.reserve_ids("layers", 2)?)));
    assert_eq!(twice.unwrap(), (4..5, 5..7));
    drop(store);
    assert_eq!(folder.open().write_durable(|w| w.reserve_ids("layers", 1)).unwrap(), 7..8);
}

#[test]
fn writers_that_wait_share_a_flush_and_fail_alone() {
    const WRITERS: usize = 64;
    let folder = Folder::new();
    let store = folder.open();
    // Holds the writer's thread until all others are queued.
    let (entered, inside) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let first = {
        let store = store.clone();
        thread::spawn(move || {
            store.write_durable(move |w| {
                entered.send(()).unwrap();
                released.recv().unwrap();
                w.put::<Images>("first/row", &row("first"))
            })
        })
    };
    inside.recv().unwrap();
    let before = store.flushes();
    let (sender, results) = mpsc::channel();
    for number in 0..WRITERS {
        let sender = sender.clone();
        let change = move |w: &mut crate::Writer<'_>| {
            // Each sees those before it in the same batch, but not those that failed.
            let earlier = w.list::<Images>("many/")?.len();
            w.put::<Images>(&format!("many/{number:03}"), &row("many"))?;
            match number % 8 {
                7 => Err(Error::invalid("unlucky")),
                _ => Ok(earlier),
            }
        };
        store.submit(change, move |result| sender.send((number, result)).unwrap());
    }
    release.send(()).unwrap();
    first.join().unwrap().unwrap();
    for (number, result) in results.iter().take(WRITERS) {
        match number % 8 {
            7 => assert_eq!(result.unwrap_err().to_string(), "unlucky"),
            _ => assert_eq!(result.unwrap(), number - number / 8, "writer {number}"),
        }
    }
    assert_eq!(store.read(|r| r.list::<Images>("many/")).unwrap().len(), WRITERS - WRITERS / 8);
    let flushes = store.flushes() - before;
    assert_eq!(flushes, 2, "one for the first, one for all that waited");
}

#[test]
fn a_write_without_changes_costs_no_flush() {
    let folder = Folder::new();
    let store = folder.open();
    let before = store.flushes();
    store.write_durable(|w| w.get::<Images>("a/b")).unwrap();
    store.write_durable(|w| w.delete::<Images>("a/b")).unwrap();
    assert_eq!(store.flushes(), before);
}

#[test]
fn many_threads_lose_nothing() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 50;
    let folder = Folder::new();
    let store = Arc::new(folder.open());
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let store = store.clone();
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    // A counter that all increment: lost updates would show.
                    let count = |w: &mut crate::Writer<'_>| {
                        let mut counter =
                            w.get::<Images>("all/counter")?.unwrap_or_else(|| super::Row { number: 0, ..row("") });
                        counter.number += 1;
                        w.put::<Images>("all/counter", &counter)
                    };
                    store.write_durable(count).unwrap();
                    store.write_crash(|w| w.put::<Pods>(&format!("{thread}/{round}"), &row("pod"))).unwrap();
                    let own = store.read(|r| r.list::<Pods>(&format!("{thread}/"))).unwrap();
                    assert_eq!(own.len() as u64, round + 1);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let counter = store.read(|r| r.get::<Images>("all/counter")).unwrap().unwrap();
    assert_eq!(counter.number, THREADS * ROUNDS);
    assert_eq!(store.read(|r| r.list::<Pods>("")).unwrap().len() as u64, THREADS * ROUNDS);
}

#[tokio::test]
async fn async_writers_get_their_answers() {
    let folder = Folder::new();
    let store = folder.open();
    store.durable(|w| w.put::<Images>("a/b", &row("image"))).await.unwrap();
    store.crash(|w| w.put::<Pods>("a/b", &row("pod"))).await.unwrap();
    let both = store.query(|r| Ok((r.get::<Images>("a/b")?, r.get::<Pods>("a/b")?))).await.unwrap();
    assert_eq!(both, (Some(row("image")), Some(row("pod"))));
    // Dropped before it is first polled it is never sent; from then on it is done whoever waits.
    let cancelled = store.durable(|w| w.put::<Images>("a/c", &row("late")));
    let mut cancelled = Box::pin(cancelled);
    let _ = futures_poll_once(cancelled.as_mut()).await;
    drop(cancelled);
    store.durable(|w| w.reserve_ids("after", 1)).await.unwrap();
    assert_eq!(store.query(|r| r.get::<Images>("a/c")).await.unwrap(), Some(row("late")));
}

async fn futures_poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[test]
fn the_last_clone_may_die_on_the_writers_thread() {
    let folder = Folder::new();
    let store = folder.open();
    let clone = store.clone();
    let (sender, done) = mpsc::channel();
    store.submit(
        move |w| {
            let _last: Store = clone;
            w.put::<Images>("a/b", &row("x"))
        },
        move |result| sender.send(result).unwrap(),
    );
    drop(store);
    done.recv().unwrap().unwrap();
}
