"""The explorer: a local page of sliders over the whole chain.

Starlette and uvicorn serve it, and htmx (one vendored file, 52 kB) sends the form and puts the answer in place: 2 MB
to install, no build step, nothing loaded from elsewhere and not a line of JavaScript of our own. Panel, Dash and
Streamlit would bring 50 to 200 MB, scripts of megabytes and a server that keeps state; here the address is the state.
"""
