"""Makers of joint market paths: closed-form, calibrated, bootstrapped and filtered.

Takes histories (``model.scenario.History``) or a calibration, gives objects with the one method ``block`` of
``model.scenario.ScenarioGenerator``. One factor is one coin. Generators are immutable and may be called from several
threads; a block depends on (seed, number, n_steps, n_paths) alone.
Must not import paths, coverage, venues, report, io, app or cli, and no table library, parser or clock.
"""
