//! Times and counts every operation of a store, whichever backend it runs on.
//!
//! Nothing is forwarded by hand: `store_trait!` declares a trait of the store and implements it for [`Observed`] at the
//! same time. An operation is measured as soon as it is declared.

use std::time::Duration;

use super::{Result, StoreError};
use crate::clock::Stopwatch;
use crate::metrics::{self, Counter, StoreOp, Timer};

/// A store whose operations are measured.
pub struct Observed<S> {
    pub(super) store: S,
}

impl<S> Observed<S> {
    /// Measures the operations of `store`.
    pub const fn new(store: S) -> Self {
        Self { store }
    }
}

/// Runs one operation, and records its duration and whether it failed.
pub(super) async fn timed<T>(operation: StoreOp, future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let watch = Stopwatch::start();
    let result = future.await;
    let taken: Duration = watch.elapsed();
    metrics::observe(Timer::Store(operation), taken);
    match &result {
        Ok(_) => {}
        // A refusal by a quota is an answer.
        Err(StoreError::OverQuota(over)) => metrics::count(Counter::QuotaRefused(over.kind.into())),
        Err(_) => metrics::count(Counter::StoreFailed(operation)),
    }
    result
}

/// Declares a trait of the store, and implements it for [`Observed`] by forwarding to the store that it measures.
///
/// `async fn name(&self, …) -> Result<T> => Op;` is timed and counted under [`StoreOp::Op`](StoreOp). A plain
/// `fn name(&self, …) -> T;` is forwarded without being measured. Methods have no bodies here.
macro_rules! store_trait {
    (
        $(#$meta:tt)*
        $vis:vis trait $name:ident: $first:ident $(+ $more:ident)* { $($methods:tt)* }
    ) => {
        $crate::store::observed::store_trait! {
            @methods { $(#$meta)* $vis trait $name: $first $(+ $more)* } [] [] $($methods)*
        }
    };

    // Takes one measured method from the front.
    (
        @methods $trait:tt [$($declared:tt)*] [$($forwarded:tt)*]
        $(#$meta:tt)*
        async fn $method:ident(&$this:ident $(, $arg:ident: $type:ty)* $(,)?) -> $result:ty => $op:ident;
        $($rest:tt)*
    ) => {
        $crate::store::observed::store_trait! {
            @methods $trait
            [
                $($declared)*
                $(#$meta)*
                async fn $method(&$this $(, $arg: $type)*) -> $result;
            ]
            [
                $($forwarded)*
                async fn $method(&$this $(, $arg: $type)*) -> $result {
                    let forwarded = $this.store.$method($($arg),*);
                    $crate::store::observed::timed($crate::metrics::StoreOp::$op, forwarded).await
                }
            ]
            $($rest)*
        }
    };

    // Takes one method that is not measured from the front.
    (
        @methods $trait:tt [$($declared:tt)*] [$($forwarded:tt)*]
        $(#$meta:tt)*
        fn $method:ident(&$this:ident $(, $arg:ident: $type:ty)* $(,)?) -> $result:ty;
        $($rest:tt)*
    ) => {
        $crate::store::observed::store_trait! {
            @methods $trait
            [
                $($declared)*
                $(#$meta)*
                fn $method(&$this $(, $arg: $type)*) -> $result;
            ]
            [
                $($forwarded)*
                fn $method(&$this $(, $arg: $type)*) -> $result {
                    $this.store.$method($($arg),*)
                }
            ]
            $($rest)*
        }
    };

    // All methods are taken: declares the trait and its implementation.
    (
        @methods { $(#$meta:tt)* $vis:vis trait $name:ident: $first:ident $(+ $more:ident)* }
        [$($declared:tt)*] [$($forwarded:tt)*]
    ) => {
        $(#$meta)*
        #[::async_trait::async_trait]
        $vis trait $name: $first $(+ $more)* {
            $($declared)*
        }

        #[::async_trait::async_trait]
        impl<S: $name> $name for $crate::store::observed::Observed<S> {
            $($forwarded)*
        }
    };
}
pub(super) use store_trait;
