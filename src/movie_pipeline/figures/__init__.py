"""Frames in, matplotlib Figures out: no file, no global state, no knowledge of where the numbers come from.

Groups with fewer than `SMALL_GROUP` films stand apart and pale below the ranked ones, and every group says its n.
Colours are Okabe and Ito's, which most colour-blind people can tell apart; nothing is said by colour alone.
"""

from movie_pipeline.figures.canvas import DARK, LIGHT, SMALL_GROUP, Style, Theme, png, recoloured, svg, wrapped
from movie_pipeline.figures.films import top_films, trends
from movie_pipeline.figures.genres import genre_ratings, popular_genres
from movie_pipeline.figures.importance import feature_importance
from movie_pipeline.figures.warehouse import warehouse

__all__ = [
    "DARK",
    "LIGHT",
    "SMALL_GROUP",
    "Style",
    "Theme",
    "feature_importance",
    "genre_ratings",
    "png",
    "popular_genres",
    "recoloured",
    "svg",
    "top_films",
    "trends",
    "warehouse",
    "wrapped",
]
