"""The screens, in the order of the work; each file has one public `render(api)`."""
