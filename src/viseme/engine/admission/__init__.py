"""Admission: who may send what, when. An account at work, its seats, its rates."""
