"""What every room stands on: errors, files, folders, devices, progress, JSON, the version.

In: nothing of vizcnn. Out: plain helpers that know no net and no picture.
Add here only what two rooms need and none owns.
"""
