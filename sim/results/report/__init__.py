"""Report of a run or a study: one self-contained HTML page, with pictures that our own small scripts draw."""

from gridferry.sim.results.report.page import page, write_report
from gridferry.sim.results.report.study_page import write_comparison, write_study_report

__all__ = ["page", "write_comparison", "write_report", "write_study_report"]
