"""Hold margincover against numbers that exchanges state themselves.

Takes case files (worked examples and captured responses), gives one report. Every figure is read from the product's
public path: a `BookInput`, `resolve`, `build_pools`, `pool_statuses` and `reconcile`. The adaptors translate words and
keys; they hold no margin formula. Run ``python -m tests.reference.verify`` from the root of the repository.
"""
