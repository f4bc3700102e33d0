"""Migrations of the platform's database, run by `jupyter_mlplat.db.migrate`."""
