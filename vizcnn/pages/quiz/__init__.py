"""The quiz: which of two photos excites a unit? From galleries to a page, and to its scores.

In: galleries of exciting and of calm photos, or a net and photos; later the files of those who
played. Out: a page that asks, and a page of scores.
Add here what is asked, and what is shown beside the photos.
"""
