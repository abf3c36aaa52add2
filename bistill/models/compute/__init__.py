"""How texts become numbers quickly."""
