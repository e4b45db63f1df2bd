"""What every room stands on: errors, files, devices, progress, JSON, processes, pools of machines.

In: nothing of vizcnn. Out: plain helpers that know no net and no picture.
Add here only what two rooms need and none owns.
"""
