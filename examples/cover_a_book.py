"""Load a book, compute coverage, print what to add where, and write the report.

Run: python examples/cover_a_book.py [BOOK] [REPORT.html]
"""

import sys
from pathlib import Path

import margincover as mc


def main(book_file: str | None = None, report_file: str = "coverage.html") -> None:
    book = mc.load(book_file) if book_file else mc.demo_book()
    report = mc.cover(book, tolerance=0.01, horizon_s=24 * 3600, paths=5_120, seed=7)

    for pool in report.result.pools:  # worst first
        status = pool.status
        word = "add" if pool.gap_native > 0 else "could leave"
        print(
            f"{status.pool_id:32} {pool.verdict:8} required {pool.required_native:14,.4f} {status.unit}"
            f"  {word} {abs(pool.gap_native):14,.4f} +- {1.96 * pool.gap_standard_error_native:,.4f}"
        )

    frame = report.to_frame()
    print(frame.select("pool_id", "verdict", "required_usd", "available_usd", "gap_usd"))
    Path(report_file).write_text(report.to_html(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
